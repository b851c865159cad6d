"""What a target would cost: python scripts/plan.py --help"""

from nafp.commands.plan import command

if __name__ == "__main__":
    command()
