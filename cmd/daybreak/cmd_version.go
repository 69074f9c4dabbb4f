package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/spf13/cobra"
)

// version is the release that this build belongs to; see CHANGELOG.md.
const version = "0.1.0"

// build returns the id of this build: the SHA-256 of the running executable. A run pins it, and a
// replay by another build says so.
var build = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the running executable: %w", err)
	}
	if _, err := os.Stat("/proc/self/exe"); err == nil {
		path = "/proc/self/exe" // is the running file even where the path holds a newer one
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the running executable: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("read the running executable: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
})

type versionInfo struct {
	Version string `json:"version"`
	Build   string `json:"build"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version and the id of this build",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			id, err := build()
			if err != nil {
				return err
			}
			info := versionInfo{Version: version, Build: id, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
			return emitOne(a, info, func(w io.Writer, v versionInfo) error {
				_, err := fmt.Fprintf(w, "daybreak %s\nbuild    %s\ngo       %s %s/%s\n", v.Version, v.Build, v.Go, v.OS, v.Arch)
				return err
			})
		},
	}
}
