int greet(const char *whence);
