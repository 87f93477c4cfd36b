# A static program and nothing else: no shell, no package manager, no root.
#
#   docker build -t pgseal .
#   docker run -p 6432:6432 -v ./policy.toml:/etc/pgseal/policy.toml:ro -v ./keys:/keys:ro \
#     -e PGSEAL_UPSTREAM=db.internal:5432 pgseal
#
# The keyring and its key-encryption key must be readable by user 65532 and by nobody else, or belong to root
# and be readable by group 65532. `docker run pgseal --help` tells the rest.

FROM rust:1-alpine AS build
RUN apk add --no-cache musl-dev gcc
WORKDIR /src
COPY . .
# A static program loads no PKCS #11 module. Its random bytes come by the system call alone, so it runs without a /dev as well.
ENV RUSTFLAGS='-C strip=symbols --cfg getrandom_backend="linux_getrandom"'
RUN cargo build --release --locked --no-default-features --features aws-kms,vault-transit
# A volume that is mounted here for the first time belongs to the program's user.
RUN mkdir -m 700 /keys

# With PKCS #11: docker build --target pkcs11 -t pgseal:pkcs11 . It is not static, and the module is yours to add.
FROM rust:1-bookworm AS build-pkcs11
WORKDIR /src
COPY . .
ENV RUSTFLAGS='-C strip=symbols'
RUN cargo build --release --locked

FROM debian:bookworm-slim AS pkcs11
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build-pkcs11 /src/target/release/pgseal /pgseal
COPY LICENSE /LICENSE
USER 65532:65532
ENV PGSEAL_LISTEN=0.0.0.0:6432 \
    PGSEAL_POLICY=/etc/pgseal/policy.toml \
    PGSEAL_KEYRING=/keys/keyring.toml \
    PGSEAL_ADMIN=127.0.0.1:6433
EXPOSE 6432
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["/pgseal", "health"]
ENTRYPOINT ["/pgseal"]
CMD ["serve"]

FROM scratch
COPY --from=build /src/target/release/pgseal /pgseal
COPY --from=build --chown=65532:65532 /keys /keys
COPY LICENSE /LICENSE
# The authorities that servers with a public certificate are verified against.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
ENV PGSEAL_LISTEN=0.0.0.0:6432 \
    PGSEAL_POLICY=/etc/pgseal/policy.toml \
    PGSEAL_KEYRING=/keys/keyring.toml \
    PGSEAL_ADMIN=127.0.0.1:6433
EXPOSE 6432
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["/pgseal", "health"]
ENTRYPOINT ["/pgseal"]
CMD ["serve"]
