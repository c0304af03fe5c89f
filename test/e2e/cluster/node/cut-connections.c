/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts connections under both ends, as nothing else can from outside: shuts down the sockets of process PID that were accepted on a unix
 * socket whose path contains TEXT (pidfd_getfd(2), shutdown(2)). Prints how many.
 *   cut-connections PID TEXT
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of a socket that listens: __SO_ACCEPTCON of the kernel, as /proc/net/unix shows flags. */
#define LISTENS 0x10000u

static int accepted_there(unsigned long inode, const char *text)
{
	FILE *table = fopen("/proc/net/unix", "r");
	char line[512];
	int found = 0;

	while (table && !found && fgets(line, sizeof(line), table)) {
		unsigned int flags = 0;
		unsigned long number = 0;
		char path[256] = "";

		if (sscanf(line, "%*s %*s %*s %x %*s %*s %lu %255s", &flags, &number, path) == 3)
			found = number == inode && !(flags & LISTENS) && strstr(path, text);
	}
	if (table)
		fclose(table);
	return found;
}

int main(int argc, char **argv)
{
	char directory[64];
	struct dirent *entry;
	DIR *files;
	int process, cut = 0;

	if (argc != 3)
		return 2;
	snprintf(directory, sizeof(directory), "/proc/%s/fd", argv[1]);
	files = opendir(directory);
	process = syscall(SYS_pidfd_open, atoi(argv[1]), 0);
	if (!files || process < 0) {
		perror(argv[1]);
		return 1;
	}
	while ((entry = readdir(files))) {
		char path[512], target[128];
		unsigned long inode = 0;
		ssize_t length;
		int own;

		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = 0;
		if (sscanf(target, "socket:[%lu]", &inode) != 1 || !accepted_there(inode, argv[2]))
			continue;
		own = syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0);
		if (own < 0 || shutdown(own, SHUT_RDWR) < 0) {
			perror(target);
			return 1;
		}
		close(own);
		cut++;
	}
	printf("%d\n", cut);
	return 0;
}
