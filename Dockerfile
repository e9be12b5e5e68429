# holdline alone: `buildah bud -t holdline .`, after
# RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target x86_64-unknown-linux-gnu
FROM scratch
ARG EXECUTABLE=target/x86_64-unknown-linux-gnu/release/holdline
COPY ${EXECUTABLE} /holdline
WORKDIR /work
ENTRYPOINT ["/holdline"]
CMD ["run"]
