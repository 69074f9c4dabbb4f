#!/usr/bin/env python3
"""Order calculation as an HTTP service: standard library and NumPy, nothing else.

One request carries up to 500 accounts. Their positions are laid end to end in arrays and computed at
once. Money comes and goes as text, as everywhere in Daybreak; shares are whole.

    python3 service.py --port 8099
"""

import argparse
import json
import sys
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

BODY_MAX = 16 << 20
PARTS_MAX = 500


def calculate(accounts):
    """Returns one answer for each account: the whole shares to trade to reach its weights.

    Purchases are cut, all by the same factor, to the money there is: cash and what sales bring.
    Trades below the account's minimum are left out.
    """
    counts = np.array([len(a["positions"]) for a in accounts])
    owner = np.repeat(np.arange(len(accounts)), counts)
    rows = [p for a in accounts for p in a["positions"]]
    shares = np.array([float(p["shares"]) for p in rows])
    price = np.array([float(p["price"]) for p in rows])
    weight = np.array([float(p["weight"]) for p in rows])
    cash = np.array([float(a["cash"]) for a in accounts])
    least = np.array([float(a["minimum"]) for a in accounts])

    value = np.bincount(owner, shares * price, len(accounts)) + cash
    trade = np.trunc(value[owner] * weight / price - shares)
    trade[np.abs(trade * price) < least[owner]] = 0
    sold = np.bincount(owner, np.where(trade < 0, -trade * price, 0), len(accounts))
    bought = np.bincount(owner, np.where(trade > 0, trade * price, 0), len(accounts))
    share = np.minimum(1, (cash + sold) / np.where(bought > 0, bought, 1))
    trade = np.where(trade > 0, np.floor(trade * np.maximum(share, 0)[owner]), trade)

    answers = []
    first = 0
    for account, count in zip(accounts, counts):
        orders = []
        for row, quantity in zip(account["positions"], trade[first:first + count]):
            if quantity:
                orders.append({
                    "symbol": row["symbol"],
                    "side": "buy" if quantity > 0 else "sell",
                    "quantity": int(abs(quantity)),
                    "notional": str(Decimal(int(abs(quantity))) * Decimal(row["price"])),
                })
        first += count
        answers.append({"status": "orders" if orders else "nothing", "orders": orders})
    return answers


def answer(accounts):
    """calculate, with the accounts that it can't do answered by an error of their own."""
    good, places, answers = [], [], [None] * len(accounts)
    for i, account in enumerate(accounts):
        fault = next((p["symbol"] for p in account["positions"] if not float(p["price"]) > 0), None)
        if fault is None:
            good.append(account)
            places.append(i)
        else:
            answers[i] = {"error": {"code": "NO_PRICE", "message": f"{fault} has no price"}}
    for i, a in zip(places, calculate(good) if good else []):
        answers[i] = a
    return answers


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if self.path != "/orders" or not 0 < length <= BODY_MAX:
            self.close_connection = True
            return self.reply(404 if self.path != "/orders" else 413, {"error": "POST /orders, at most 16 MB"})
        try:
            accounts = json.loads(self.rfile.read(length))
            if not isinstance(accounts, list) or len(accounts) > PARTS_MAX:
                raise ValueError(f"want a list of at most {PARTS_MAX}")
            answers = answer(accounts)
        except (KeyError, TypeError, ValueError) as e:
            return self.reply(400, {"error": repr(e)})
        return self.reply(200, answers)

    def reply(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=Path(__file__).stem)
    parser.add_argument("--port", type=int, default=8099, help="0 takes a free one")
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
