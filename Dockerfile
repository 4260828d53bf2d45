# The image is the static binary and nothing else. `make image` builds the binary first, with the Go on the host.
FROM scratch
COPY bin/stint /stint
# checks, peers, gossip (TCP and UDP), admin
EXPOSE 7070 7071 7072/tcp 7072/udp 7073
USER 65534:65534
ENTRYPOINT ["/stint"]
CMD ["serve", "--bind", "0.0.0.0"]
