package mysql

import "testing"

// The one table of a definition is named, as servers write definitions; where there could be another none is.
func TestReadBehind(t *testing.T) {
	for _, c := range []struct{ definition, schema, table string }{
		{"select `plant`.`tank_base`.`id` AS `id` from `plant`.`tank_base`", "plant", "tank_base"},
		{"select `t`.`id` AS `id` from `plant`.`tank` `t` where `t`.`id` > 3", "plant", "tank"},
		{"select `a``b`.`id` AS `id` from `my``db`.`a``b`", "my`db", "a`b"},
		{"select 1 AS `id`", "", ""},
		{"select `a`.`id` AS `id` from (`p`.`a` join `p`.`b` on(`a`.`id` = `b`.`id`))", "", ""},
		{"select ' from `p`.`x`' AS `id` from `p`.`a`", "", ""},
		{"select `p`.`a`.`id` AS `id` from `p`.`a` union select `p`.`b`.`id` AS `id` from `p`.`b`", "", ""},
		{"", "", ""},
	} {
		schema, table, one := readBehind(c.definition)
		if schema != c.schema || table != c.table || one != (c.table != "") {
			t.Errorf("%s: %q.%q %v", c.definition, schema, table, one)
		}
	}
}
