"""`python -m complyq_simulator`."""

from complyq_simulator.command import app

if __name__ == "__main__":
    app(prog_name="complyq simulator")
