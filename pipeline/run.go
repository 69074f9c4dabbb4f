package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"daybreak/market"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

// Workflow names the definition that the morning run follows.
const Workflow = "morning-run@1"

// RunState says how far a run is.
type RunState string

// The states of a run. Started: its households are being decided. Paused: workers leave its
// records alone until it is resumed. Finished: each household has its decision. Canceled: what it
// proposed is void, and its session may have another run.
const (
	RunStarted  RunState = "started"
	RunPaused   RunState = "paused"
	RunFinished RunState = "finished"
	RunCanceled RunState = "canceled"
)

var (
	// ErrNoSession is wrapped with the day where no exchange of the calendars is open. Commands
	// exit with 2 on it.
	ErrNoSession = errors.New("no exchange is open")
	// ErrRunExists is wrapped with the run's id where the session has a live run already. Commands
	// exit with 11 on it.
	ErrRunExists = errors.New("the session has a run already")
	// ErrNotFound is wrapped with what was looked for. Commands exit with 10 on it.
	ErrNotFound = errors.New("not found")
	// ErrState is wrapped where something is not in a state that allows what was asked. Commands
	// exit with 11 on it.
	ErrState = errors.New("not possible in this state")
)

// Run is one morning run: it pins the market, the build and the rules that its decisions use.
type Run struct {
	ID         string             `json:"run"` // DATE.N
	Session    market.Day         `json:"date"`
	Number     int                `json:"number"`
	State      RunState           `json:"state"`
	Workflow   string             `json:"workflow"`
	Build      string             `json:"build"`
	Rules      string             `json:"rules"`
	Market     string             `json:"market"` // hash of the market snapshot
	Where      string             `json:"where,omitempty"`
	Maker      string             `json:"maker"`
	Households int                `json:"households"`
	Started    time.Time          `json:"started"`
	Finished   *time.Time         `json:"finished,omitempty"`
	Risk       string             `json:"risk,omitempty"` // hash of the risk models
	Settings   rebalance.Settings `json:"settings,omitzero"`
}

// HouseholdRef is what is needed to send a household's record, and to choose households.
type HouseholdRef struct {
	ID         portfolio.HouseholdID
	Region     string
	RoutingKey string
	Accounts   int
}

// RunRequest asks for the run of a session. Chosen reports whether a household takes part; nil
// takes all.
type RunRequest struct {
	Session  market.Day
	Where    string // the filter's text, for the record
	Chosen   func(HouseholdRef) (bool, error)
	Maker    string
	Build    string
	Rules    string
	Now      time.Time
	Settings rebalance.Settings // parameters that differ from their defaults
}

// Runs keeps runs, their households and the markets that they saw.
type Runs interface {
	MarketSnapshot(ctx context.Context, day market.Day) (*market.Snapshot, error)
	HouseholdRefs(ctx context.Context) ([]HouseholdRef, error)
	// MarketYears returns the market with the closes of the days from one to another.
	MarketYears(ctx context.Context, from, to market.Day) (*market.History, error)
	// AccountCurrencies returns the currencies that accounts count in, sorted.
	AccountCurrencies(ctx context.Context) ([]market.Currency, error)
	// StoreRisk keeps risk models by their hash; those that are there stay.
	StoreRisk(ctx context.Context, r StoredMarket) error
	// CreateRun stores the run with its households and its market in one transaction, and gives it
	// the next number of its session. It returns ErrRunExists where a live run is there.
	CreateRun(ctx context.Context, r Run, m StoredMarket, households []portfolio.HouseholdID) (Run, error)
	Run(ctx context.Context, id string) (Run, error)
	// Undecided returns the households of a run that have no decision yet, by id.
	Undecided(ctx context.Context, run string) ([]HouseholdRef, error)
	// ChangeRun moves a run from one of the states from to another, with an audit row.
	ChangeRun(ctx context.Context, change RunChange) (Run, error)
}

// RunChange asks for another state of a run.
type RunChange struct {
	Run  string
	From []RunState
	To   RunState
	By   string
	Why  string
	Now  time.Time
}

// StoredMarket is a market snapshot, or the risk models of a run, as it is kept: named by the hash of
// its JSON.
type StoredMarket struct {
	Hash string
	Day  market.Day
	Body []byte // zstd of the JSON
}

// StartRun creates the run of a session and sends a record for each of its households. A day
// without a session, a session that has its run, and an empty book are refused. Where sending stops
// halfway, the run stands and ResumeRun sends the rest.
func StartRun(ctx context.Context, runs Runs, work Publisher, request RunRequest) (Run, error) {
	if err := anySession(request.Session); err != nil {
		return Run{}, err
	}
	snapshot, err := runs.MarketSnapshot(ctx, request.Session)
	if err != nil {
		return Run{}, fmt.Errorf("market of %s: %w", request.Session, err)
	}
	if len(snapshot.Prices) == 0 {
		return Run{}, fmt.Errorf("no close within ten sessions of %s: import prices first: %w", request.Session, ErrNotFound)
	}
	chosen, ids, err := chooseHouseholds(ctx, runs, request)
	if err != nil {
		return Run{}, err
	}
	stored, err := storeMarket(snapshot)
	if err != nil {
		return Run{}, err
	}
	risk, err := estimateRisk(ctx, runs, request)
	if err != nil {
		return Run{}, err
	}
	run, err := runs.CreateRun(ctx, Run{
		Session: request.Session, State: RunStarted, Workflow: Workflow, Build: request.Build, Rules: request.Rules,
		Market: stored.Hash, Where: request.Where, Maker: request.Maker, Households: len(ids), Started: request.Now,
		Risk: risk, Settings: request.Settings,
	}, stored, ids)
	if err != nil {
		return Run{}, err
	}
	if err := sendWork(ctx, work, run.ID, chosen); err != nil {
		return run, fmt.Errorf("run %s is stored but not all of its households were sent; `daybreak run resume %s --as YOU` sends the rest: %w", run.ID, run.ID, err)
	}
	return run, nil
}

// estimateRisk estimates the risk models of a run, stores them and returns their hash; "" where the
// run's planner needs none.
func estimateRisk(ctx context.Context, runs Runs, request RunRequest) (string, error) {
	settings := request.Settings.WithDefaults()
	if settings.Planner == rebalance.Rules {
		return "", nil
	}
	history, err := runs.MarketYears(ctx, request.Session.AddYears(-settings.RiskYears), request.Session-1)
	if err != nil {
		return "", fmt.Errorf("risk models of %s: %w", request.Session, err)
	}
	currencies, err := runs.AccountCurrencies(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(rebalance.EstimateRisk(history, request.Session, currencies, settings))
	if err != nil {
		return "", fmt.Errorf("risk models of %s: %w", request.Session, err)
	}
	stored := StoredMarket{Hash: hashOf(text), Day: request.Session, Body: Compress(text)}
	return stored.Hash, runs.StoreRisk(ctx, stored)
}

// LoadRisk reads stored risk models back and checks their hash.
func LoadRisk(stored StoredMarket) (*rebalance.Risk, error) {
	var r rebalance.Risk
	if err := loadStored("risk models", stored, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// ResumeRun lets a paused run go on and sends every household that has no decision yet; sending
// one twice changes nothing.
func ResumeRun(ctx context.Context, runs Runs, work Publisher, change RunChange) (Run, error) {
	change.From, change.To = []RunState{RunPaused, RunStarted}, RunStarted
	run, err := runs.ChangeRun(ctx, change)
	if err != nil {
		return Run{}, err
	}
	waiting, err := runs.Undecided(ctx, run.ID)
	if err != nil {
		return Run{}, err
	}
	return run, sendWork(ctx, work, run.ID, waiting)
}

func anySession(day market.Day) error {
	for _, exchange := range market.Exchanges() {
		calendar, err := market.Calendar(exchange)
		if err != nil {
			return err
		}
		if calendar.IsSession(day) {
			return nil
		}
	}
	next, err := NextRun(day.Time())
	if err != nil {
		return fmt.Errorf("%s: %w", day, ErrNoSession)
	}
	return fmt.Errorf("%s: %w; the next session is %s", day, ErrNoSession, next.Session)
}

func chooseHouseholds(ctx context.Context, runs Runs, request RunRequest) ([]HouseholdRef, []portfolio.HouseholdID, error) {
	all, err := runs.HouseholdRefs(ctx)
	if err != nil {
		return nil, nil, err
	}
	var chosen []HouseholdRef
	var ids []portfolio.HouseholdID
	for _, h := range all {
		if request.Chosen != nil {
			take, err := request.Chosen(h)
			if err != nil {
				return nil, nil, fmt.Errorf("household %s: %w", h.ID, err)
			}
			if !take {
				continue
			}
		}
		chosen = append(chosen, h)
		ids = append(ids, h.ID)
	}
	if len(ids) == 0 {
		return nil, nil, fmt.Errorf("no household to plan: import households, or loosen --where: %w", ErrNotFound)
	}
	return chosen, ids, nil
}

func storeMarket(snapshot *market.Snapshot) (StoredMarket, error) {
	text, err := json.Marshal(snapshot)
	if err != nil {
		return StoredMarket{}, fmt.Errorf("market of %s: %w", snapshot.Day, err)
	}
	return StoredMarket{Hash: hashOf(text), Day: snapshot.Day, Body: Compress(text)}, nil
}

// LoadMarket reads a stored market back and checks its hash.
func LoadMarket(stored StoredMarket) (*market.Snapshot, error) {
	var s market.Snapshot
	if err := loadStored("market", stored, &s); err != nil {
		return nil, err
	}
	return market.NewSnapshot(s), nil
}

// loadStored reads what is stored under the hash of its JSON.
func loadStored(what string, stored StoredMarket, to any) error {
	text, err := Decompress(stored.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, stored.Hash, err)
	}
	if got := hashOf(text); got != stored.Hash {
		return fmt.Errorf("%s %s: its bytes have the hash %s", what, stored.Hash, got)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s %s: %w", what, stored.Hash, err)
	}
	return nil
}

// workMax bounds the records of one call of the publisher.
const workMax = 5_000

func sendWork(ctx context.Context, work Publisher, run string, households []HouseholdRef) error {
	partitions, err := work.Partitions(ctx, TopicWork)
	if err != nil {
		return err
	}
	batch := make([]Record, 0, min(workMax, len(households)))
	for i, h := range households {
		value, err := json.Marshal(Work{Run: run, Household: h.ID})
		if err != nil {
			return err
		}
		batch = append(batch, Record{
			Topic: TopicWork, Partition: Partition(h.RoutingKey, partitions), Key: []byte(h.ID), Value: value,
			Headers: []Header{{Key: HeaderRoutingKey, Value: []byte(h.RoutingKey)}},
		})
		if len(batch) == workMax || i == len(households)-1 {
			if err := work.Publish(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
