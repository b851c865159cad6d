"""Keep what a later scoreboard can be compared with: python scripts/snapshot.py --help"""

from nafp.commands import run_command

if __name__ == "__main__":
    run_command("snapshot")
