package node

// Version is the program's version; release builds set it by the linker.
var Version = "0.1.0-dev"
