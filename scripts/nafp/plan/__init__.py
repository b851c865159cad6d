"""What a target costs before it runs: ``songs`` counts the audio, ``rates`` says how fast things go, ``stages`` adds up."""
