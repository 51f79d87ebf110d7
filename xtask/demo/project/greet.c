#include <stdio.h>

#include "greet.h"

int greet(const char *whence) { return printf("hello %s\n", whence) < 0; }
