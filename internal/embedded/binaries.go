package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// majorMin is the oldest PostgreSQL that the schema works with, and majorFetched the one that is
// fetched where the system has none.
const (
	majorMin     = 15
	majorFetched = 18
)

// fetchable are the versions that can be fetched, by major.
var fetchable = map[int]embeddedpostgres.PostgresVersion{15: "15.13.0", 16: "16.9.0", 17: "17.5.0", 18: "18.3.0"}

// systemBinaries are where packages put PostgreSQL, one directory for each major.
var systemBinaries = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql*/bin", "/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// binaries is a directory with postgres, initdb and pg_ctl of one major version.
type binaries struct {
	dir   string
	major int
}

func (b binaries) program(name string) string { return filepath.Join(b.dir, name) }

// findBinaries returns the binaries to use: of o.Bin, of the system, of PATH, or fetched, in this
// order. Where want is not 0 they are of that major, because data of one major can't be read by
// another.
func findBinaries(ctx context.Context, o Options, want int, user owner) (binaries, error) {
	if o.Bin != "" {
		b, err := inspect(ctx, o.Bin)
		if err == nil && want != 0 && b.major != want {
			err = fmt.Errorf("%s has PostgreSQL %d, but %d is needed", o.Bin, b.major, want)
		}
		return b, err
	}
	if b, ok := findInstalled(ctx, want); ok {
		return b, nil
	}
	if want == 0 {
		want = majorFetched
	}
	return fetch(ctx, o, want, user)
}

// findInstalled returns the newest binaries of the system, of major want where it is not 0.
func findInstalled(ctx context.Context, want int) (binaries, bool) {
	var found []binaries
	for _, pattern := range systemBinaries {
		dirs, _ := filepath.Glob(pattern) // the patterns are constants: no error
		for _, dir := range dirs {
			if b, err := inspect(ctx, dir); err == nil {
				found = append(found, b)
			}
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if b, err := inspect(ctx, filepath.Dir(path)); err == nil {
			found = append(found, b)
		}
	}
	found = slices.DeleteFunc(found, func(b binaries) bool { return want != 0 && b.major != want })
	if len(found) == 0 {
		return binaries{}, false
	}
	return slices.MaxFunc(found, func(a, b binaries) int { return a.major - b.major }), true
}

var versionPattern = regexp.MustCompile(`^postgres \(PostgreSQL\) ([0-9]+)`)

// inspect asks the postgres in dir for its version.
func inspect(ctx context.Context, dir string) (binaries, error) {
	b := binaries{dir: dir}
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		if _, err := os.Stat(b.program(name)); err != nil {
			return binaries{}, fmt.Errorf("no PostgreSQL in %s: %w", dir, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, b.program("postgres"), "--version").Output()
	if err != nil {
		return binaries{}, fmt.Errorf("%s --version: %w", b.program("postgres"), err)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return binaries{}, fmt.Errorf("%s --version says %q", b.program("postgres"), strings.TrimSpace(string(out)))
	}
	b.major, _ = strconv.Atoi(string(match[1])) // digits by the pattern
	if b.major < majorMin {
		return binaries{}, fmt.Errorf("%s is PostgreSQL %d; %d or later is needed", b.program("postgres"), b.major, majorMin)
	}
	return b, nil
}

// DefaultCache is where fetched binaries are kept for every installation of this user: for root a
// directory that the user who runs PostgreSQL can reach, else userCache/daybreak.
func DefaultCache(userCache string) string {
	if os.Geteuid() == 0 {
		return "/var/cache/daybreak"
	}
	return filepath.Join(userCache, "daybreak")
}

// fetch downloads PostgreSQL of a major version into the cache, unless it is there already.
func fetch(ctx context.Context, o Options, major int, user owner) (binaries, error) {
	version, ok := fetchable[major]
	if !ok {
		return binaries{}, fmt.Errorf("PostgreSQL %d is needed, which is not installed and can't be fetched: install it, or name its programs' directory in DAYBREAK_PG_BIN", major)
	}
	cache, err := filepath.Abs(cmp.Or(o.Cache, filepath.Join(o.Dir, "cache")))
	if err != nil {
		return binaries{}, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return binaries{}, fmt.Errorf("cache of binaries: %w", err)
	}
	if err := user.openWay(cache); err != nil {
		return binaries{}, err
	}
	held, err := lockFile(ctx, filepath.Join(cache, lockName), exclusive)
	if err != nil {
		return binaries{}, err
	}
	defer held.release()
	target := filepath.Join(cache, fmt.Sprintf("postgresql-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH))
	if _, err := os.Stat(filepath.Join(target, "bin", "postgres")); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(o.Notes, "fetching PostgreSQL %s (15 MB, once) into %s\n", version, cache)
		if err := download(version, cache, target); err != nil {
			return binaries{}, fmt.Errorf("fetch PostgreSQL %s: %w; or install PostgreSQL %d or later from your system's packages", version, err, majorMin)
		}
	}
	return inspect(ctx, filepath.Join(target, "bin"))
}

// download has the library fetch and unpack the binaries; it moves them to
// target in one step. It can only start a server as well, which we neither want nor, as root, could: we give it a data
// directory that no server starts on, and judge by what was unpacked.
func download(version embeddedpostgres.PostgresVersion, cache, target string) error {
	nothing, err := os.MkdirTemp(cache, "nothing.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(nothing)
	major, _, _ := strings.Cut(string(version), ".")
	if err := os.WriteFile(filepath.Join(nothing, "PG_VERSION"), []byte(major+"\n"), 0o600); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	library := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().Version(version).Port(uint32(port)).
		CachePath(cache).BinariesPath(target).RuntimePath(filepath.Join(nothing, "runtime")).DataPath(nothing).
		StartTimeout(time.Second).Logger(io.Discard))
	startErr := library.Start()
	if startErr == nil {
		return errors.Join(errors.New("a server started on a directory without data"), library.Stop())
	}
	if _, err := os.Stat(filepath.Join(target, "bin", "postgres")); err != nil {
		return startErr
	}
	return os.Chmod(target, 0o755)
}
