"""Plays Pong of the Arcade Learning Environment for `fourfold data compare-ale`, frame by frame: commands come through the
standard input, answers go out through the standard output.

First goes a greeting: the bytes `4FLD`, and the versions of what runs (a byte of length, then UTF-8). Then for each command:

    a byte 0 to 5, an action of the minimal set   -> reward (i8), whether the game is over (a byte), memory (128 bytes)
    `R`                                           -> resets the game; no answer
"""

import os
import struct
import sys

# Packages may print: what is meant for people goes where people look.
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
commands = sys.stdin.buffer

# What a user can mend is told in one sentence, with this exit code.
USER_ERROR = 3

try:
    import ale_py
    from ale_py import roms
except ImportError as error:
    print(f"the Python package `{error.name}` is missing from {sys.executable}: pip install ale-py", file=sys.stderr, flush=True)
    os._exit(USER_ERROR)

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
ale = ale_py.ALEInterface()
ale.setInt("random_seed", 1)
ale.setInt("frame_skip", 1)
ale.setFloat("repeat_action_probability", 0.0)
ale.loadROM(roms.get_rom_path("pong"))
ale.reset_game()
actions = list(ale.getMinimalActionSet())

version = f"ale-py {ale_py.__version__}, Python {sys.version.split()[0]}".encode()
answers.write(b"4FLD" + bytes([len(version)]) + version)
answers.flush()
while command := commands.read(1):
    if command == b"R":
        ale.reset_game()
        continue
    reward = ale.act(actions[command[0]])
    answers.write(struct.pack("<bB", int(reward), ale.game_over()) + ale.getRAM().tobytes())
    answers.flush()
