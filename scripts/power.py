"""How many test songs a difference needs to be seen: python scripts/power.py --help"""

from nafp.commands.power import command

if __name__ == "__main__":
    command()
