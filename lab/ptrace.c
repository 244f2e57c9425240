// SPDX-License-Identifier: GPL-3.0-or-later
//
// Loaded before the C library of a user-mode kernel of Linux 6.1. That one keeps the extended registers of its processes
// in a buffer of a fixed size. The kernel below gives as much as fits into it, but takes only all of them at once: on a
// processor that has more, such as one with AMX, the user-mode kernel panics with its first process. Here it gets what
// it has room for, and what it sets is laid over what the process has now.

#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

// More than any processor has: AMX makes it 11 KiB. The kernel has one thread that traces
static unsigned char state[65536] __attribute__((aligned(64)));

static long set_registers(pid_t pid, struct iovec *given)
{
    struct iovec whole = {state, sizeof state};

    if (syscall(SYS_ptrace, PTRACE_GETREGSET, (long)pid, (long)NT_X86_XSTATE, &whole) < 0)
        return -1;
    if (given->iov_len < whole.iov_len)
        memcpy(state, given->iov_base, given->iov_len);
    else
        whole.iov_base = given->iov_base;
    return syscall(SYS_ptrace, PTRACE_SETREGSET, (long)pid, (long)NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
    va_list arguments;
    long word = 0, answer;
    pid_t pid;
    void *address, *data;

    va_start(arguments, request);
    pid = va_arg(arguments, pid_t);
    address = va_arg(arguments, void *);
    data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE)
        return set_registers(pid, data);
    // As the C library has it: what is read comes as the result
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        answer = syscall(SYS_ptrace, (long)request, (long)pid, address, &word);
        if (answer < 0)
            return answer;
        errno = 0;
        return word;
    }
    return syscall(SYS_ptrace, (long)request, (long)pid, address, data);
}
