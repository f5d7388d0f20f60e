package certificate

// parseTime reads UTCTime (YYMMDDhhmm[ss], years 1950 to 2049) and
// GeneralizedTime (YYYYMMDDhhmm[ss][.f]), each with Z or an offset, as seconds
// since the Unix epoch. Fractions are dropped.
func parseTime(e element) (int64, bool) {
	b := e.body
	year, ok := 0, true
	digits := func(n int) int {
		v := 0
		if len(b) < n {
			ok = false
			return 0
		}
		for _, c := range b[:n] {
			if c < '0' || c > '9' {
				ok = false
				return 0
			}
			v = 10*v + int(c-'0')
		}
		b = b[n:]
		return v
	}
	switch e.tag {
	case tagUTCTime:
		if year = digits(2) + 1900; year < 1950 {
			year += 100
		}
	case tagGeneralTime:
		year = digits(4)
	default:
		return 0, false
	}
	month, day, hour, minute, second := digits(2), digits(2), digits(2), digits(2), 0
	if len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		second = digits(2)
	}
	if len(b) > 1 && (b[0] == '.' || b[0] == ',') {
		for b = b[1:]; len(b) > 0 && b[0] >= '0' && b[0] <= '9'; {
			b = b[1:]
		}
	}
	var offset int64
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		sign := int64(1)
		if b[0] == '-' {
			sign = -1
		}
		b = b[1:]
		offset = sign * int64(digits(2)*3600+digits(2)*60)
	} else if len(b) == 1 && b[0] == 'Z' {
		b = nil
	}
	if !ok || len(b) > 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60 {
		return 0, false
	}
	return days(year, month, day)*86400 + int64(hour*3600+minute*60+second) - offset, true
}

// days counts from 1970-01-01 in the Gregorian calendar, also before it.
func days(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	// Years begin in March, so the leap day comes last; eras have 400 years.
	y, m := int64(year), int64(month)
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	ofEra := y - era*400
	ofYear := (153*(m-3)+2)/5 + int64(day) - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}
