package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/access"
)

func newPersonCmd(a *app) *cobra.Command {
	c := &cobra.Command{Use: "person", Short: "People with their roles and books"}
	c.AddCommand(newPersonListCmd(a), newPersonSaveCmd(a))
	return c
}

func newPersonListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List people by name",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				all, err := o.db.People(c.Context())
				if err != nil {
					return err
				}
				return emit(a, all, writePeople)
			})
		},
	}
}

func writePeople(w io.Writer, all []access.Account) error {
	p := &printer{w: w}
	for _, person := range all {
		state, books := "active", "all books"
		if !person.Active {
			state = "inactive"
		}
		if len(person.Books) > 0 {
			books = strings.Join(person.Books, ", ")
		}
		p.line("%-24s %-8s %-30s %s", person.Name, state, person.Title(), books)
	}
	return p.err
}

func newPersonSaveCmd(a *app) *cobra.Command {
	var as string
	var roles, books []string
	var inactive bool
	c := &cobra.Command{
		Use:   "save NAME --roles ROLE,…",
		Short: "Store a person: roles, books, active or not",
		Long: "Stores a person. Roles are viewer, pm, approver, ops, admin and auditor; docs/security.md says what each may do.\n" +
			"With --books the person sees the households of those books alone. The first administrator of an installation\n" +
			"needs no proof; everybody after that is stored in the name of an administrator with a token.",
		Example: "  daybreak person save mia --roles pm --books north",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			account := access.Account{Person: access.Person{Name: args[0], Books: books}, Active: !inactive, Changed: a.now()}
			for _, r := range roles {
				if !slices.Contains(access.Roles, access.Role(r)) {
					return usageError("--roles %q: want some of %v", r, access.Roles)
				}
				account.Roles = append(account.Roles, access.Role(r))
			}
			if i := slices.IndexFunc(books, func(b string) bool { return !access.IsBook(b) }); i >= 0 {
				return usageError("--books %q: a book is named in small letters, digits, - and _", books[i])
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				if err := o.db.SavePerson(c.Context(), account, as); err != nil {
					return err
				}
				return emit(a, []access.Account{account}, writePeople)
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "administrator who does this")
	c.Flags().StringSliceVar(&roles, "roles", nil, "roles, with commas between")
	c.Flags().StringSliceVar(&books, "books", nil, "books, with commas between; all if not given")
	c.Flags().BoolVar(&inactive, "inactive", false, "the person may no longer come")
	_ = c.MarkFlagRequired("as")
	return c
}

func newTokenCmd(a *app) *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Tokens, by which commands and programs act for a person"}
	c.AddCommand(newTokenListCmd(a), newTokenCreateCmd(a), newTokenRevokeCmd(a))
	return c
}

func newTokenListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List tokens, without their secrets",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				all, err := o.db.Tokens(c.Context())
				if err != nil {
					return err
				}
				return emit(a, all, writeTokens)
			})
		},
	}
}

func writeTokens(w io.Writer, all []access.Token) error {
	p := &printer{w: w}
	for _, t := range all {
		state := "until " + t.Expires.UTC().Format(time.DateOnly)
		if t.Revoked != nil {
			state = "revoked"
		}
		p.line("%5d  %-24s %-20s %s", t.ID, t.Person, state, t.Label)
	}
	return p.err
}

// madeToken is a token with its secret, which is printed here and never again.
type madeToken struct {
	access.Token
	Secret string `json:"secret"`
}

func newTokenCreateCmd(a *app) *cobra.Command {
	var as, label string
	var days int
	c := &cobra.Command{
		Use:     "create PERSON --label TEXT",
		Short:   "Make a token; it is printed once and kept nowhere",
		Example: "  export DAYBREAK_TOKEN=$(daybreak token create mia --label laptop)",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if days < 1 || days > 366 {
				return usageError("--days %d: want 1 to 366", days)
			}
			secret, hash := access.NewTokenOf(args[0])
			made := madeToken{access.Token{Person: args[0], Label: label, Created: a.now(), Expires: a.now().Add(time.Duration(days) * 24 * time.Hour)}, secret}
			return a.withOffice(c.Context(), false, func(o *office) (err error) {
				if made.ID, err = o.db.CreateToken(c.Context(), made.Token, hash, as); err != nil {
					return err
				}
				return emitOne(a, made, func(w io.Writer, m madeToken) error { _, err := fmt.Fprintln(w, m.Secret); return err })
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "administrator who does this")
	c.Flags().StringVar(&label, "label", "", "what it is for")
	c.Flags().IntVar(&days, "days", 90, "days until it ends")
	_ = c.MarkFlagRequired("as")
	_ = c.MarkFlagRequired("label")
	return c
}

func newTokenRevokeCmd(a *app) *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a token",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var id int64
			if _, err := fmt.Sscan(args[0], &id); err != nil {
				return usageError("%q is not the number of a token", args[0])
			}
			return a.withOffice(c.Context(), false, func(o *office) error { return o.db.RevokeToken(c.Context(), id, as, a.now()) })
		},
	}
	c.Flags().StringVar(&as, "as", "", "administrator who does this")
	_ = c.MarkFlagRequired("as")
	return c
}

func newBookCmd(a *app) *cobra.Command {
	c := &cobra.Command{Use: "book", Short: "Books, to which people may be confined"}
	var as string
	move := &cobra.Command{
		Use:   "move BOOK HOUSEHOLD…",
		Short: "Put households into a book",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if !access.IsBook(args[0]) {
				return usageError("%q: a book is named in small letters, digits, - and _", args[0])
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				n, err := o.db.MoveToBook(c.Context(), args[1:], args[0], as, a.now())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "moved %d households to book %s\n", n, args[0])
				return err
			})
		},
	}
	move.Flags().StringVar(&as, "as", "", "administrator who does this")
	_ = move.MarkFlagRequired("as")
	c.AddCommand(move)
	return c
}
