"""End-effector actions: poses as vectors, relative chunks, and the runtime that turns them into joints."""
