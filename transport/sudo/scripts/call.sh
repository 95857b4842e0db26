# Calls sudo with the words of "$@", in English: its refusals are read. The
# command itself gets back the locale that it would have had.
locale=${LC_ALL-}
LC_ALL=C
export LC_ALL
