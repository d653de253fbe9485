/* Runs a program and reports what it cost, as one line of JSON on descriptor 3.
 *
 *   launch PROGRAM [ARG...]
 *
 * A process of its own, small and static: the kernel counts the peak memory of a child from the memory of whoever
 * started it, and a script's interpreter is larger than what is measured here. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

int main(int argc, char **argv) {
    struct timespec begin, end;
    struct rusage used;
    int status;
    if (argc < 2) return 2;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pid_t child = fork();
    if (child < 0) return 1;
    if (child == 0) {
        close(3);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    if (wait4(child, &status, 0, &used) != child) return 1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    dprintf(3, "{\"status\": %d, \"wall\": %.6f, \"cpu\": %.6f, \"rss\": %ld}\n",
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9,
            seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss * 1024);
    return 0;
}
