package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// ErrBudget is that no more requests may go to Amazon for now.
var ErrBudget = errors.New("endpoint: the budget for requests to Amazon is used up")

// The lab's manners towards Amazon.
const (
	DefaultRequestEvery  = 10 * time.Second
	DefaultRequestMax    = 200
	DefaultRequestWindow = 12 * time.Hour
)

// BudgetOptions bounds the requests to a live endpoint.
type BudgetOptions struct {
	// Every is the least time between two requests.
	Every time.Duration
	// Max is how many there may be in one Window, which begins with the first.
	Max    int
	Window time.Duration
	// File, if set, is where all processes of this host keep the same account.
	// Its folder must exist.
	File string
}

// Budget is what all live requests have to go through, the host's probe and
// the boards' cases alike. It is safe for concurrent use.
type Budget struct {
	opt BudgetOptions

	mu    sync.Mutex
	state account
}

// account is the part of a budget that may live in a file.
type account struct {
	Start   time.Time `json:"window_start"`
	Count   int       `json:"count"`
	Last    time.Time `json:"last"`
	Stopped string    `json:"stopped,omitempty"`
}

// NewBudget completes opt with the defaults.
func NewBudget(opt BudgetOptions) *Budget {
	setDefault(&opt.Every, DefaultRequestEvery)
	setDefault(&opt.Max, DefaultRequestMax)
	setDefault(&opt.Window, DefaultRequestWindow)
	return &Budget{opt: opt}
}

// Take waits until one request may be sent. It gives ErrBudget when the
// window's requests are used up or the endpoint has asked for less.
func (b *Budget) Take(ctx context.Context) error {
	var at time.Time
	err := b.change(func(a *account) error {
		now := time.Now()
		a.renew(now, b.opt)
		switch {
		case a.Stopped != "":
			return fmt.Errorf("%w: stopped, %s; it opens again at %s", ErrBudget, a.Stopped, a.end(b.opt))
		case a.Count >= b.opt.Max:
			return fmt.Errorf("%w: %d requests since %s; it opens again at %s", ErrBudget, a.Count,
				a.Start.Format(time.RFC3339), a.end(b.opt))
		}
		at = now
		if next := a.Last.Add(b.opt.Every); next.After(now) {
			at = next
		}
		a.Last, a.Count = at, a.Count+1
		return nil
	})
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	// Somebody may have been told to stop meanwhile.
	return b.change(func(a *account) error {
		if a.Stopped != "" {
			return fmt.Errorf("%w: stopped, %s; it opens again at %s", ErrBudget, a.Stopped, a.end(b.opt))
		}
		return nil
	})
}

// Stop ends all requests for the rest of the window: the endpoint answered 429
// or 503.
func (b *Budget) Stop(reason string) error {
	return b.change(func(a *account) error {
		a.renew(time.Now(), b.opt)
		a.Stopped = reason
		return nil
	})
}

// renew opens a new window when the old one has passed, or lies in the future
// because the clock was set back.
func (a *account) renew(now time.Time, opt BudgetOptions) {
	if a.Start.IsZero() || now.Sub(a.Start) >= opt.Window || a.Start.After(now) {
		*a = account{Start: now}
	}
}

func (a *account) end(opt BudgetOptions) string { return a.Start.Add(opt.Window).Format(time.RFC3339) }

// change carries out one step on the account, in its file if it has one.
func (b *Budget) change(step func(*account) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opt.File == "" {
		return step(&b.state)
	}
	lock, err := os.OpenFile(b.opt.File+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("endpoint: account of requests: %w", err)
	}
	defer lock.Close() // and with it the lock
	for {
		if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("endpoint: account of requests: %w", err)
	}
	a, err := readAccount(b.opt.File)
	if err != nil {
		return err
	}
	if err := step(&a); err != nil {
		return err
	}
	return writeAccount(b.opt.File, a)
}

func readAccount(file string) (account, error) {
	var a account
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, fmt.Errorf("endpoint: account of requests: %w", err)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("endpoint: account of requests %s is damaged; delete it after %v: %w", file, DefaultRequestWindow, err)
	}
	return a, nil
}

func writeAccount(file string, a account) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("endpoint: account of requests: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".part-*")
	if err != nil {
		return fmt.Errorf("endpoint: account of requests: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("endpoint: account of requests: %w", err)
	}
	return nil
}
