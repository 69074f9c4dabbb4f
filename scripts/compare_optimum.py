#!/usr/bin/env python3
"""Checks plans of `daybreak plan` against an independent reading of the workload, and against Clarabel.

usage: compare_optimum.py WORKLOAD.json PLANS.jsonl [--solve N]

For every plan the objective is recomputed from its trades, and every rule of rebalance-workload/1 is
checked. With --solve N the fixed-role problem of the first N accounts is also solved with cvxpy and
Clarabel (pip install cvxpy clarabel), and compared with fixed_objective. Exit code 5 where they differ.
"""
import argparse
import json
import math
import sys
from decimal import Decimal

import numpy as np

RISK, IDLE, SHORT, LONG, HARVEST, FLOOR = 50.0, 0.01, 0.41, 0.26, 0.03, Decimal("0.005")


class Account:
    """One account of a workload as arrays, written from the schema alone."""

    def __init__(self, f, a):
        n = len(f["securities"])
        price = [Decimal(s["price_cents"]) / 100 for s in f["securities"]]
        self.ids = {s["id"]: i for i, s in enumerate(f["securities"])}
        self.price = price
        self.cost = [Decimal(s["spread_bps"]) / 20000 for s in f["securities"]]
        self.k = np.array([float(c) for c in self.cost])
        self.load = np.array([s["load_e6"] for s in f["securities"]]) / 1e6
        self.var = (np.array([s["spec_vol_bps"] for s in f["securities"]]) / 1e4) ** 2
        self.cash = Decimal(a["cash_cents"]) / 100
        self.target = np.array(a["target_ppm"]) / 1e6
        self.lots = a["lots"]
        self.lot = {l["id"]: j for j, l in enumerate(a["lots"])}
        self.qty = [Decimal(l["qty_e4"]) / 10000 for l in a["lots"]]
        self.sec = np.array([l["security"] for l in a["lots"]])
        exact = [q * price[s] for q, s in zip(self.qty, self.sec)]
        self.nav = self.cash + sum(exact)
        nav = float(self.nav)
        self.v = np.array([float(e) for e in exact]) / nav
        basis = np.array([l["cost_cents"] / 100 for l in a["lots"]])
        money = np.array([float(e) for e in exact])
        rate = np.array([SHORT if l["age_days"] <= 365 else LONG for l in a["lots"]])
        self.tau = rate * (money - basis) / money
        self.need = self.nav * FLOOR + Decimal(a["withdrawal_cents"]) / 100
        self.no_buy = np.zeros(n, bool)
        bought = np.zeros(n, bool)
        for t in a["recent_household_trades"]:
            (self.no_buy if t["side"] == "sell" else bought)[t["security"]] = True
        young = np.zeros(n, int)
        for l in a["lots"]:
            young[l["security"]] += l["age_days"] <= 30
        self.barred = np.array([self.tau[j] < 0 and (bought[l["security"]] or young[l["security"]] - (l["age_days"] <= 30) > 0)
                                for j, l in enumerate(a["lots"])])
        self.harvest = np.zeros(n, bool)
        for j, l in enumerate(a["lots"]):
            if not self.barred[j] and (basis[j] - money[j]) / basis[j] >= HARVEST and self.tau[j] < 0:
                self.harvest[l["security"]] = True

    def check(self, plan):
        """Returns the objective of the plan's trades and the rules that they break."""
        broken, cash = [], self.cash
        n = len(self.price)
        bought, sold = [Decimal(0)] * n, [Decimal(0)] * len(self.qty)
        for t in plan["trades"]:
            i, shares = self.ids[t["security"]], Decimal(t["shares"])
            value = shares * self.price[i]
            if shares <= 0 or shares.as_tuple().exponent < -4:
                broken.append("shares")
            if t["side"] == "buy":
                cash -= value * (1 + self.cost[i])
                bought[i] += shares
                if self.no_buy[i]:
                    broken.append("bought while barred")
            else:
                cash += value * (1 - self.cost[i])
                j = self.lot[t["lot"]]
                sold[j] += shares
                if self.barred[j] or self.tau[j] < 0 and not self.harvest[i]:
                    broken.append("loss while barred")
                if self.sec[j] != i:
                    broken.append("lot of another security")
        if cash < self.need:
            broken.append(f"cash short by {self.need - cash}")
        nav = float(self.nav)
        b = np.array([float(x * p) for x, p in zip(bought, self.price)]) / nav
        u = np.array([float(x * self.price[s]) for x, s in zip(sold, self.sec)]) / nav
        for j, (x, q) in enumerate(zip(sold, self.qty)):
            if x > q:
                broken.append("more than the lot")
            if x > 0 and b[self.sec[j]] > 0:
                broken.append("bought and sold")
        s = np.bincount(self.sec, u, n)
        h = np.bincount(self.sec, self.v - u, n) + b
        x = h - self.target
        f = RISK * (np.sum((self.load.T @ x) ** 2) + np.sum(self.var * x * x)) + np.sum(self.tau * u)
        return f + np.sum(self.k * (b + s)) + IDLE * float(cash) / nav, broken

    def solve_fixed(self):
        """Returns the optimum of the fixed-role problem by Clarabel."""
        import cvxpy as cp
        n, nav = len(self.price), float(self.nav)
        b, u = cp.Variable(n), cp.Variable(len(self.v))
        owner = np.zeros((n, len(self.v)))
        owner[self.sec, np.arange(len(self.v))] = 1
        s = owner @ u
        x = owner @ self.v - self.target - s + b
        cash = float(self.cash) / nav + cp.sum(cp.multiply((1 - self.k)[self.sec], u)) - cp.sum(cp.multiply(1 + self.k, b))
        top_b = np.where(self.no_buy | self.harvest, 0.0, 1.0)
        top_u = np.where(self.barred | ((self.tau < 0) & ~self.harvest[self.sec]), 0.0, self.v)
        f = RISK * (cp.sum_squares(self.load.T @ x) + cp.sum_squares(cp.multiply(np.sqrt(self.var), x)))
        f += self.tau @ u + self.k @ (b + s) + IDLE * cash
        problem = cp.Problem(cp.Minimize(f), [b >= 0, b <= top_b, u >= 0, u <= top_u, cash >= float(self.need) / nav])
        return problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workload")
    p.add_argument("plans")
    p.add_argument("--solve", type=int, default=0)
    args = p.parse_args()
    with open(args.workload) as f:
        workload = json.load(f)
    with open(args.plans) as f:
        plans = [json.loads(line) for line in f]
    faults, worst, solved, gaps = 0, 0.0, 0.0, []
    for k, (a, plan) in enumerate(zip(workload["accounts"], plans, strict=True)):
        if "objective" not in plan:
            print(plan["account"], plan["exception"])
            continue
        account = Account(workload, a)
        f, broken = account.check(plan)
        worst = max(worst, abs(f - plan["objective"]))
        gaps.append(plan["gap_bp"])
        if broken or abs(f - plan["objective"]) > 1e-10 or plan["bound"] > plan["objective"]:
            faults += 1
            print(plan["account"], "objective", plan["objective"], "recomputed", f, "broken", sorted(set(broken)))
        if k < args.solve:
            reference = account.solve_fixed()
            solved = max(solved, abs(reference - plan["fixed_objective"]))
            faults += not math.isclose(reference, plan["fixed_objective"], rel_tol=0, abs_tol=1e-8)
    gaps.sort()
    print(f"{len(gaps)} plans, {faults} faults, objective off by at most {worst:.1e}, gap median {gaps[len(gaps) // 2]:.4f} bp, "
          f"max {gaps[-1]:.4f} bp" + (f", fixed roles off Clarabel by at most {solved:.1e}" if args.solve else ""))
    sys.exit(5 if faults else 0)


if __name__ == "__main__":
    main()
