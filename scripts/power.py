"""How many test songs a difference needs to be seen: python scripts/power.py --help"""

from nafp.commands import run_command

if __name__ == "__main__":
    run_command("power")
