package tlh_test

import (
	"fmt"
	"testing"

	"daybreak/money"
	"daybreak/region"
	"daybreak/tlh"
)

func TestIsWorthIt(t *testing.T) {
	for _, c := range []struct {
		net, least string
		want       bool
	}{
		{"10", "10", true}, {"9.999999999999", "10", false}, {"0.000000000001", "0", true}, {"0", "0", false}, {"-1", "0", false},
	} {
		v := tlh.Value{Net: money.MustParse(c.net)}
		if got := v.IsWorthIt(money.MustParse(c.least)); got != c.want {
			t.Errorf("IsWorthIt(net %s, least %s) = %t, want %t", c.net, c.least, got, c.want)
		}
	}
}

// TestValueCosts changes each estimate of the rules: none is read and forgotten.
func TestValueCosts(t *testing.T) {
	loaded, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	stake := tlh.Stake{Long: money.FromInt(-12000), Proceeds: money.FromInt(60000), Replaced: money.FromInt(50000)}
	half := money.MustParse("0.5")
	for _, c := range []struct {
		name   string
		change func(h *region.Harvest)
		want   string // later, trades, way back, lost period, net
	}{
		{"as in the file", func(*region.Harvest) {}, "675 110 100 50 1465"},
		{"waits for nothing", func(h *region.Harvest) { h.Waits = money.Zero }, "0 110 100 50 790"},
		{"half of them go back", func(h *region.Harvest) { h.WayBack = half }, "675 110 50 50 1515"},
		{"rises by half", func(h *region.Harvest) { h.LostRise = half }, "675 110 100 500 1015"},
		{"half are sold", func(h *region.Harvest) { h.LostChance = half }, "675 110 100 250 1265"},
	} {
		rules := *loaded
		c.change(&rules.Harvest)
		v := tlh.ValueOf(&rules, region.Standing{Year: 2020}, stake, money.MustParse("0.001"))
		if got := fmt.Sprint(v.Later, v.Trades, v.WayBack, v.LostPeriod, v.Net); got != c.want {
			t.Errorf("ValueOf(%s) = %s, want %s", c.name, got, c.want)
		}
	}
}
