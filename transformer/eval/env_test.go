package eval

import "testing"

func TestDrawDependsOnItsArgumentsAlone(t *testing.T) {
	a := Env{Seed: "1-0 job block"}
	if a.Draw("uuid", 1) != (Env{Seed: "1-0 job block"}).Draw("uuid", 1) {
		t.Error("design D5: equal seeds draw different values")
	}
	seen := map[[32]byte]string{}
	for name, drawn := range map[string][32]byte{
		"first": a.Draw("uuid", 1), "second": a.Draw("uuid", 2), "purpose": a.Draw("random", 1),
		"seed": Env{Seed: "1-1 job block"}.Draw("uuid", 1),
	} {
		if other, ok := seen[drawn]; ok {
			t.Errorf("%s and %s drew the same", name, other)
		}
		seen[drawn] = name
	}
	first, second := Env{}.Draw("uuid", 1), Env{}.Draw("uuid", 1)
	if first == second {
		t.Error("without a seed draws repeat")
	}
}
