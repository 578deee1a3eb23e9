# The server as a static binary in an otherwise empty image: no shell, no package manager, no files
# of certificates (Mozilla's roots are compiled in).
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
# A static C library, so that the binary needs nothing of the image. Naming the target keeps the
# flag away from build scripts.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS='-C target-feature=+crt-static' cargo build --profile dist --locked --features postgres --target "$target" \
 && install -D "target/$target/dist/tier" /tier \
 && mkdir /data

FROM scratch
COPY --from=build /tier /usr/bin/tier
# For a volume with the ledger (--ledger /data/tier.db): a new volume is the user's who may write here.
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
EXPOSE 8080
# In a container, loopback would be reachable by nobody. Beyond loopback the server wants a
# TIER_API_KEY, or --insecure-no-auth.
ENV TIER_ADDR=0.0.0.0:8080
# One heap for all threads: otherwise orgs in memory take a third more, and checks are no faster.
ENV MALLOC_ARENA_MAX=1
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/bin/tier", "healthcheck"]
ENTRYPOINT ["/usr/bin/tier"]
CMD ["serve"]
