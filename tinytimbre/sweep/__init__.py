"""The sweep: search space, plan, trial store, rungs, promotion and students."""

from tinytimbre.sweep.plan import SweepPlan, Trial, plan_sweep
from tinytimbre.sweep.promotion import promote
from tinytimbre.sweep.rung import train_rung
from tinytimbre.sweep.store import RungResult, TrialStore
from tinytimbre.sweep.students import plan_students

__all__ = ["RungResult", "SweepPlan", "Trial", "TrialStore", "plan_students", "plan_sweep", "promote", "train_rung"]
