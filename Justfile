# Recipes of one line; each can be typed by hand where just is missing.

# build the one binary
build:
    go build -o dist/meerkat ./cmd/meerkat

# run a node on a folder
up dir="~/Sync":
    go run ./cmd/meerkat up {{dir}}

# every test that needs no privilege
test:
    go test ./...

# the packages that start goroutines, under the race detector
race:
    go test -race ./chunker ./store ./folder ./pubsub ./swarm ./node ./control/... ./cmd/...

# form, vet and linters
lint:
    .ci/run lint

# apply, disturbed before every call there is (some minutes)
sweep:
    MEERKAT_LONG=1 go test -count=1 -timeout 40m -run 'TestApply(Edit|Fault|Crash)$' ./folder

# real processes in network namespaces (as root)
e2e *args:
    MEERKAT_E2E=1 go test -count=1 -timeout 20m ./test/e2e/... {{args}}

# the table of speed and size (as root; needs rsync)
bench *args:
    MEERKAT_E2E=1 go test -count=1 -v -timeout 40m ./test/bench {{args}}

# strangers come and go: memory, goroutines and descriptors must not grow
soak visits="10000":
    MEERKAT_SOAK={{visits}} go test -count=1 -v -timeout 60m -run '^TestSoak$' ./node

# a thousand seeded histories of whole nodes in fake time
sim-nightly seeds="1000":
    MEERKAT_SIM_SEEDS={{seeds}} go test -count=1 -timeout 4h -run '^TestSim' ./test/sim

# every fuzz target for a while
fuzz time="20s":
    FUZZTIME={{time}} .ci/run fuzz

# generated code
generate:
    go generate ./...

# all that the machine checks
ci:
    .ci/run

# what is released, into dist/: binaries, archives, packages, SBOMs, checksums
release *targets:
    packaging/release {{targets}}

# what was released, tried (as root): in a fresh Debian, under a real systemd, as a container, as nodes of other kinds
try-packages:
    packaging/try-deb
    packaging/try-systemd
    packaging/try-container
    packaging/try-qemu dist/meerkat-linux-386
    packaging/try-qemu dist/meerkat-linux-arm64 qemu-aarch64-static
    packaging/try-qemu dist/meerkat-linux-armv7 qemu-arm-static
    QEMU_CPU=arm1176 packaging/try-qemu dist/meerkat-linux-armv6 qemu-arm-static
    packaging/try-qemu dist/meerkat-linux-riscv64 qemu-riscv64-static

# targets built again elsewhere, and compared with dist/
try-reproducible *targets="linux/amd64":
    packaging/try-reproducible {{targets}}
