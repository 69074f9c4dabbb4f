package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"unsafe"

	"github.com/spf13/cobra"

	"daybreak/region"
)

// newTaxCmd returns the command that runs the tax engine over cases, without a database.
func newTaxCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "tax FILE…",
		Short: "Compute gains, denied losses and what is left for tax cases",
		Long: "Reads cases in the format taxcase/1 (an object, an array of them, or one a line; - is stdin) and\n" +
			"writes one line of JSON for each, in their order. A case that cannot be used gives an error line,\n" +
			"the others go on, and the exit code is 3; so does a file that cannot be read, or that has no case.\n" +
			"What is computed, and from which law, is in docs/tax-rules.md; it is not tax advice.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			out := bufio.NewWriterSize(c.OutOrStdout(), 1<<16)
			faults, err := taxFiles(c.InOrStdin(), out, files)
			if flushErr := out.Flush(); err == nil {
				err = flushErr
			}
			if err == nil && faults > 0 {
				err = exitWith(exitExceptions, fmt.Errorf("%d cases could not be used", faults))
			}
			return err
		},
	}
	c.AddCommand(newTaxReportCmd(a), newTaxIssueCmd(a))
	return c
}

// taxFiles writes the outcomes of the cases in files and returns how many could not be used.
func taxFiles(in io.Reader, out io.Writer, files []string) (faults int, err error) {
	write := func(b []byte) {
		if err == nil {
			_, err = out.Write(b)
		}
	}
	for _, name := range files {
		text, readErr := readText(in, name)
		if readErr != nil {
			region.BadFile(readErr).WriteOutcome(write)
			faults++
			continue
		}
		region.ReadCases(text, func(c *region.Case) {
			if err == nil && !c.WriteOutcome(write) {
				faults++
			}
		})
		if err != nil {
			return faults, err
		}
	}
	return faults, nil
}

// readText returns a file, or stdin for "-", as a text that shares the bytes read.
func readText(in io.Reader, name string) (string, error) {
	var data []byte
	var err error
	if name == "-" {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(name)
	}
	return unsafe.String(unsafe.SliceData(data), len(data)), err // nothing writes to data any more
}
