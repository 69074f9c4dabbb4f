// Package access says who may do what: roles, the table of what each may do and in which state, and
// the person that a context acts for. It knows no request and no database.
package access

import (
	"slices"

	"daybreak/pipeline"
)

// Role is what a person is at the firm; a person may have several.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // reads
	PM       Role = "pm"       // portfolio manager: holds, rejects and approves what others have made
	Approver Role = "approver" // the second person
	Ops      Role = "ops"      // keeps the day going: runs, exceptions, the kill switch
	Admin    Role = "admin"    // people, roles and tokens; trades nothing
	Auditor  Role = "auditor"  // reads all, the audit trail too
)

// Roles are all roles, in the order of the documents.
var Roles = []Role{Viewer, PM, Approver, Ops, Admin, Auditor}

// Title returns the role in words.
func (r Role) Title() string {
	if r == PM {
		return "portfolio manager"
	}
	return string(r)
}

// Action is something that a person asks for.
type Action string

// The actions.
const (
	Read           Action = "read"    // runs, orders, accounts, fills, exceptions, tax
	Replay         Action = "replay"  // decide an account again, which changes nothing
	StartRun       Action = "start"   // a run
	PauseRun       Action = "pause"   // a run
	ResumeRun      Action = "resume"  // a run
	CancelRun      Action = "cancel"  // a run
	Approve        Action = "approve" // an order
	Override       Action = "override"
	Hold           Action = "hold"
	Release        Action = "release"
	Reject         Action = "reject"
	Submit         Action = "submit"
	CloseException Action = "close"
	Stop           Action = "stop"   // set the kill switch
	Unstop         Action = "unstop" // take it back
	ReadAudit      Action = "audit"
	Manage         Action = "manage"  // people and tokens
	Operate        Action = "operate" // the engine, the stream, imports, slips: commands only
)

// Rule says who may do an action, and in which states of its subject: none named, in any.
type Rule struct {
	Action Action
	Roles  []Role
	States []string
	// Firm: about the whole firm, so that people of some books may not.
	Firm bool
}

var (
	everyone  = Roles
	reviewers = []Role{PM, Approver}
	steerers  = []Role{PM, Ops}
)

// Rules is the table: one row an action. What it does not allow is refused.
var Rules = []Rule{
	{Action: Read, Roles: everyone},
	{Action: Replay, Roles: everyone},
	{Action: StartRun, Roles: steerers, Firm: true},
	{Action: PauseRun, Roles: steerers, Firm: true, States: states(pipeline.RunStarted)},
	{Action: ResumeRun, Roles: steerers, Firm: true, States: states(pipeline.RunStarted, pipeline.RunPaused)},
	{Action: CancelRun, Roles: steerers, Firm: true, States: states(pipeline.RunStarted, pipeline.RunPaused, pipeline.RunFinished)},
	{Action: Approve, Roles: reviewers, States: states(pipeline.ReviewProposed)},
	{Action: Override, Roles: reviewers, States: states(pipeline.ReviewProposed, pipeline.ReviewApproved, pipeline.ReviewFlagged)},
	{Action: Hold, Roles: reviewers, States: states(pipeline.ReviewProposed, pipeline.ReviewApproved, pipeline.ReviewSubmitted, pipeline.ReviewFlagged)},
	{Action: Release, Roles: reviewers, States: states(pipeline.ReviewHeld, pipeline.ReviewFlagged)},
	{Action: Reject, Roles: reviewers, States: states(pipeline.ReviewProposed, pipeline.ReviewFlagged, pipeline.ReviewHeld, pipeline.ReviewApproved, pipeline.ReviewSubmitted)},
	{Action: Submit, Roles: reviewers, States: states(pipeline.ReviewApproved)},
	{Action: CloseException, Roles: []Role{PM, Ops}},
	{Action: Stop, Roles: []Role{PM, Approver, Ops, Admin}, Firm: true},
	{Action: Unstop, Roles: []Role{Approver, Ops}, Firm: true},
	{Action: ReadAudit, Roles: []Role{Auditor, Admin}, Firm: true},
	{Action: Manage, Roles: []Role{Admin}, Firm: true},
	{Action: Operate, Roles: []Role{Ops}, Firm: true},
}

func states[T ~string](of ...T) []string {
	all := make([]string, len(of))
	for i, s := range of {
		all[i] = string(s)
	}
	return all
}

// ruleOf returns the row of an action; an action without one is nobody's.
func ruleOf(a Action) Rule {
	for _, r := range Rules {
		if r.Action == a {
			return r
		}
	}
	return Rule{Action: a}
}

// StatesOf returns the states in which an action may be done; none: in any.
func StatesOf(a Action) []string { return ruleOf(a).States }

// Allows reports whether a row lets one of some roles act.
func (r Rule) Allows(roles []Role) bool {
	return slices.ContainsFunc(roles, func(role Role) bool { return slices.Contains(r.Roles, role) })
}

// Fits reports whether a row lets act on a subject in a state.
func (r Rule) Fits(state string) bool { return len(r.States) == 0 || slices.Contains(r.States, state) }

// Verdict is the answer to whether a person may act.
type Verdict int

// The verdicts. A role that does not allow an action comes before a state that does not.
const (
	Allowed  Verdict = iota + 1
	NoPerson         // nobody is signed in
	NotRole          // none of the person's roles allows it
	NotBook          // it is about the whole firm, and the person is of some books
	NotState         // the subject's state does not allow it
)

// Judge says whether a person may do an action on a subject in a state; "" is a subject without one.
func Judge(p *Person, a Action, state string) Verdict {
	rule := ruleOf(a)
	switch {
	case p == nil:
		return NoPerson
	case !rule.Allows(p.Roles):
		return NotRole
	case rule.Firm && len(p.Books) > 0:
		return NotBook
	case state != "" && !rule.Fits(state):
		return NotState
	}
	return Allowed
}

// IsRole reports whether a role is one of ours.
func IsRole(r Role) bool { return slices.Contains(Roles, r) }
