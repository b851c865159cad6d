"""What a study, or all of them, will cost: python scripts/plan.py --help"""

from nafp.commands import run_command

if __name__ == "__main__":
    run_command("plan")
