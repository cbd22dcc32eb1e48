"""Implement the engine with SQLite: one database file in the data folder, for all processes on one machine.

It has the write lock, the reserved space for a full disk, the epoch and the clock's high-water mark in shared memory,
and the recorded activity. For example: `open_database(folder)`.
"""
