package farmtest_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
)

// The fakes keep to what the suites ask of real labs.
func TestFakeLabConforms(t *testing.T) {
	farmtest.TestLab(t, func(t *testing.T) farm.Lab { return farmtest.NewFakeLab(2, nil) })
}

func TestFakeFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := farmtest.NewFakeLab(2, map[string]farmtest.Faults{"fake01": {StuckReset: true}, "fake02": {Dead: true}})
		for _, b := range lab.Boards() {
			bench, err := lab.Open(t.Context(), b.ID, farmtest.NewLease(b.ID, 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := bench.Reset.Reset(t.Context(), 0); !errors.Is(err, farm.ErrResetIneffective) {
				t.Errorf("%s: reset gave %v, want ErrResetIneffective", b.ID, err)
			}
			if err := bench.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if lab.Parked(b.ID) != 1 {
				t.Errorf("%s was parked %d times", b.ID, lab.Parked(b.ID))
			}
		}
	})
}
