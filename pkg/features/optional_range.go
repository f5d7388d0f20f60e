package features

import "strings"

// classRanges are the values of the columns that hold a class.
var classRanges = map[string]string{
	"fl_end_class": "0 to 3", "ch_alpn_class": "0 to 7, 9", "sh_cs_class": "0 to 7", "sh_alpn_class": "0 to 7, 9", "sh_group_class": "1 to 6, 9",
	"sh_alert_level": "0 to 2", "ct_key_type": "0 to 6", "sn_tld_class": "0 to 5", "qu_version_class": "1 to 4, 9",
	"ht_srv_class": "0 to 6, 9", "xs_dport_class": "1 to 5",
}

// columnRange returns the values that a column can have besides NaN: "[a, b]" and
// bounds for real numbers, "a to b" for whole ones. The unit says it for nearly
// all columns; the others are named here.
func columnRange(name, unit string) string {
	switch {
	case strings.HasPrefix(name, "sq_len_"), name == "fl_by_ratio", name == "fl_pk_ratio", unit == "days":
		return "any"
	case name == "bd_mean":
		return "[0, 255]"
	case name == "bd_std":
		return "[0, 127.5]"
	case name == "sh_cke_bits", name == "c16_cke_bits":
		return "0 to 8192"
	}
	switch unit {
	case "bit":
		return "0 or 1"
	case "ratio":
		return "[0, 1]"
	case "class":
		return classRanges[name]
	case "version", "port":
		return "0 to 65535"
	case "bit/byte":
		return "[0, 8]"
	case "log2":
		return "≤ 0"
	case "hops":
		return "0 to 126"
	}
	return "≥ 0"
}
