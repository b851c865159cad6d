"""How well matches agree with annotations: python scripts/judge.py --help"""

from nafp.commands import run_command

if __name__ == "__main__":
    run_command("judge")
