"""Numbers that all processes of the service share: made before the first of them is forked."""

import mmap


def shared_numbers(count: int) -> "memoryview[int]":
    """Return `count` unsigned numbers of eight bytes, all 0, shared by this process and those that it will fork.

    They are in memory and in no file: storing a number needs no room on a disk, whose lack would be a SIGBUS where the
    file system copies on write, and a restart finds none of it. One is read and stored by a single move of aligned
    eight bytes (a native `Q`; struct's `<Q` goes byte by byte), so no process sees half of one.
    """
    return memoryview(mmap.mmap(-1, count * 8)).cast("B").cast("Q")
