// Package sample carries the sample market in the binary, so that a demo needs no file beside it.
package sample

import (
	"embed"

	"daybreak/market"
)

// Adjustment and Source are what an import of Files must declare.
const (
	Adjustment = market.DividendAdjusted
	Source     = "ECB"
)

// Files holds prices.csv.gz, fx.csv.gz, securities.csv, replacements.csv and models.csv;
// README.md names their sources.
//
//go:embed prices.csv.gz fx.csv.gz securities.csv replacements.csv models.csv
var Files embed.FS
