"""Which cells of two result folders differ beyond chance: python scripts/compare.py --help"""

from nafp.commands.compare import command

if __name__ == "__main__":
    command()
