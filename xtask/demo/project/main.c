#include "greet.h"

int main(void) { return greet("from inside the sandbox"); }
