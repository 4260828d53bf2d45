package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionText is the linker's version, or where that is missing the module's (`go install …@v1`).
func versionText() string {
	v := version
	if v == "dev" {
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	return fmt.Sprintf("%s (%s, %s/%s)", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
