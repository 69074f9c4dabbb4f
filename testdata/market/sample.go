// Package sample carries the sample market in the binary, so that a demo needs no file beside it.
package sample

import "embed"

// Files holds prices.csv.gz, fx.csv.gz, securities.csv, replacements.csv and models.csv.
// The prices are adjusted for splits and dividends; README.md names their sources.
//
//go:embed prices.csv.gz fx.csv.gz securities.csv replacements.csv models.csv
var Files embed.FS
