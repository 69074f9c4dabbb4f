package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/internal/access"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

// tokenVariable holds the token by which a command acts for a person.
const tokenVariable = "DAYBREAK_TOKEN"

// errNoProof is returned where a command that acts for a person has nothing that proves it.
var errNoProof = errors.New("--as alone proves nobody outside of a sample installation: set " + tokenVariable +
	" to a token of yours; an administrator makes one with `daybreak token create`")

// actions are what commands that act for a person do, by the words of the command; those that are not
// here are access.Operate.
var actions = map[string]access.Action{
	"run start": access.StartRun, "run pause": access.PauseRun, "run resume": access.ResumeRun, "run cancel": access.CancelRun,
	"order approve": access.Approve, "order reject": access.Reject, "order hold": access.Hold, "order submit": access.Submit,
	"exception close": access.CloseException, "kill": access.Stop,
	"person save": access.Manage, "token create": access.Manage, "token revoke": access.Manage, "book move": access.Manage,
}

// actionOfCommand returns what a command does where it acts for a person. A flag may make it another action.
func actionOfCommand(c *cobra.Command) access.Action {
	_, words, _ := strings.Cut(c.CommandPath(), " ")
	isSet := func(name string) bool { f := c.Flags().Lookup(name); return f != nil && f.Changed }
	switch {
	case words == "order approve" && isSet("override-lock"):
		return access.Override
	case words == "order hold" && isSet("release"):
		return access.Release
	case words == "kill" && isSet("off"):
		return access.Unstop
	}
	if a, ok := actions[words]; ok {
		return a
	}
	return access.Operate
}

// token returns the token of the environment; "" for none, or for a command that ignores it.
func (a *app) token(c *cobra.Command) string {
	if c.Annotations[ignoresEnvironment] != "" {
		return ""
	}
	for _, variable := range a.environ {
		if value, ok := strings.CutPrefix(variable, tokenVariable+"="); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// nameActor gives --as of a command the name of the token's person.
func (a *app) nameActor(c *cobra.Command) error {
	as, token := c.Flags().Lookup("as"), a.token(c)
	if as == nil || token == "" {
		return nil
	}
	name := access.NameOf(token)
	if as.Changed && as.Value.String() != name {
		return usageError("--as %q is another person than %s stands for: leave --as out", as.Value, tokenVariable)
	}
	return c.Flags().Set("as", name)
}

// admit makes sure that whom the running command acts for is proven and may do what it does: by a token,
// or, in a sample installation, by --as. With a token the command sees the books of its person alone.
func (a *app) admit(ctx context.Context, db *postgres.DB) error {
	c := a.acting
	if c == nil {
		return nil
	}
	as, token := c.Flags().Lookup("as"), a.token(c)
	if token == "" {
		if as == nil || !as.Changed {
			return nil
		}
		return proven(ctx, db, a, c)
	}
	p, err := db.PersonOfToken(ctx, access.HashToken(token), a.now())
	if errors.Is(err, access.ErrUnknown) {
		return fmt.Errorf("%s is nobody's token: it may have expired or been revoked: %w", tokenVariable, access.ErrDenied)
	}
	if err != nil {
		return err
	}
	action := access.Read
	if as != nil {
		action = actionOfCommand(c)
	}
	if as != nil && p.Name != as.Value.String() {
		return fmt.Errorf("%s is %s's token, and says that it is another's: %w", tokenVariable, p.Name, access.ErrDenied)
	}
	switch access.Judge(p, action, "") {
	case access.Allowed:
		c.SetContext(access.With(c.Context(), p))
		return nil
	case access.NotBook:
		return fmt.Errorf("this is about the whole firm, and %s sees some of its books: %w", p.Name, access.ErrDenied)
	}
	return fmt.Errorf("the role of %s, %s, does not allow this: %w", p.Name, p.Title(), access.ErrDenied)
}

// proven reports whether --as alone may act: in a sample installation; and for the first administrator,
// whom nobody could have let in.
func proven(ctx context.Context, db *postgres.DB, a *app, c *cobra.Command) error {
	_, isSample, err := db.Clock(ctx, a.now)
	if err != nil || isSample {
		return err
	}
	if actionOfCommand(c) == access.Manage {
		people, err := db.People(ctx)
		if err != nil {
			return err
		}
		proves := func(p access.Account) bool { return p.Active && p.May(access.Manage) }
		tokens, err := db.Tokens(ctx)
		if err != nil {
			return err
		}
		for _, p := range people {
			for _, t := range tokens {
				if proves(p) && t.Person == p.Name {
					return errNoProof
				}
			}
		}
		return nil
	}
	return errNoProof
}

// recordImport writes an audit row about a file that changed something.
func (a *app) recordImport(ctx context.Context, db *postgres.DB, s pipeline.ImportSummary) error {
	if s.Refused != "" || s.Inserted+s.Changed+s.Removed == 0 {
		return nil
	}
	by := "installation"
	if p := access.Of(a.acting.Context()); p != nil {
		by = p.Name
	}
	return db.RecordAct(ctx, postgres.AuditEntry{At: a.now(), Actor: by, Action: "import." + string(s.Kind), Subject: s.File,
		Detail: map[string]any{"lines": s.Lines, "inserted": s.Inserted, "changed": s.Changed, "removed": s.Removed, "bad": s.Bad}})
}
