"""Which cells of two result folders differ beyond chance: python scripts/compare.py --help"""

from nafp.commands import run_command

if __name__ == "__main__":
    run_command("compare")
