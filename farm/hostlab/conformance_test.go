package hostlab_test

import (
	"testing"

	"hil-runner/farm"
	"hil-runner/farm/farmtest"
)

func TestLabConforms(t *testing.T) {
	farmtest.TestLab(t, func(t *testing.T) farm.Lab { return newHost(t, setup{boards: 2}).Lab })
}
