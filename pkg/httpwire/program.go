package httpwire

import "strings"

// What is taken for a program: the Content-Type of a response without its
// parameters, and the end of a request's path.
const (
	ProgramTypes = "application/x-msdownload application/x-msdos-program application/x-dosexec application/vnd.microsoft.portable-executable application/x-msi " +
		"application/x-executable application/x-elf application/x-mach-binary application/java-archive application/vnd.android.package-archive"
	ProgramEndings = ".exe .dll .scr .msi .bat .cmd .ps1 .vbs .hta .jar .apk .elf .sh"
)

// IsProgramType reports whether a media type, without parameters, is one of
// ProgramTypes.
func IsProgramType(mediaType string) bool {
	for known := range strings.FieldsSeq(ProgramTypes) {
		if strings.EqualFold(known, mediaType) {
			return true
		}
	}
	return false
}

// IsProgramTarget reports whether the path of a request's target ends in one of
// ProgramEndings.
func IsProgramTarget(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	for ending := range strings.FieldsSeq(ProgramEndings) {
		if len(path) >= len(ending) && strings.EqualFold(path[len(path)-len(ending):], ending) {
			return true
		}
	}
	return false
}

// MediaType returns a Content-Type without its parameters.
func MediaType(contentType string) string {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.TrimSpace(mediaType)
}

// Field returns the value of the first field of that name, which is compared
// without regard to case.
func Field(fields []Header, name string) string { return first(fields, name) }
