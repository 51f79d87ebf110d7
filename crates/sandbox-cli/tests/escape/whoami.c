/* Prints its effective user and group: what a set-uid copy of it gained. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    printf("%d %d\n", (int)geteuid(), (int)getegid());
    return 0;
}
