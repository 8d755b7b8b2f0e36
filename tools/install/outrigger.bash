# SPDX-License-Identifier: BSD-2-Clause
# bash completion of outrigger(8)

_outrigger_partitions() {
    local p
    for p in /sys/class/outrigger/*/; do
        [ -e "$p" ] && basename "$p"
    done
}

_outrigger() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} i
    local commands='check create load boot run list inspect ps top log console cpu memory
        shutdown kill destroy dump'
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help" -- "$cur")
        return
    fi
    case $prev in
    --image|-i) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    --kind) mapfile -t COMPREPLY < <(compgen -W 'any block contig' -- "$cur"); return ;;
    --owner) mapfile -t COMPREPLY < <(compgen -u -- "$cur"); return ;;
    --group) mapfile -t COMPREPLY < <(compgen -g -- "$cur"); return ;;
    esac
    # `run NAME [--] PROGRAM ...`: what follows the name is a command line.
    if [ "$command" = run ]; then
        for ((i = 2; i < COMP_CWORD; i++)); do
            case ${COMP_WORDS[i]} in
            -e) ((i++)) ;;
            -*) ;;
            *)  if ((i + 1 == COMP_CWORD)) || { ((i + 2 == COMP_CWORD)) && [ "${COMP_WORDS[i+1]}" = -- ]; }; then
                    mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
                else
                    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                fi
                return ;;
            esac
        done
    fi
    if [[ $cur == -* ]]; then
        local options='--help'
        case $command in
        create) options+=' --cpus --memory --kind --owner --group --mode --force --dry-run' ;;
        load|boot) options+=' --image --append --log-level --dry-run' ;;
        run) options+=' --env --trace --summary --output --json' ;;
        check|list|inspect|ps) options+=' --json' ;;
        top) options+=' --delay --rounds' ;;
        log) options+=' --follow --raw' ;;
        cpu) options+=' --force --dry-run' ;;
        memory) options+=' --kind --dry-run' ;;
        shutdown) options+=' --timeout --dry-run' ;;
        kill) options+=' --dry-run' ;;
        destroy) options+=' --force --dry-run' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
        return
    fi
    case $command in
    create|check|list) ;;
    cpu|memory)
        case $COMP_CWORD in
        2) mapfile -t COMPREPLY < <(compgen -W 'add remove' -- "$cur") ;;
        3) mapfile -t COMPREPLY < <(compgen -W "$(_outrigger_partitions)" -- "$cur") ;;
        esac ;;
    dump)
        if [ "$COMP_CWORD" -eq 2 ]; then
            mapfile -t COMPREPLY < <(compgen -W "$(_outrigger_partitions)" -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$(_outrigger_partitions)" -- "$cur") ;;
    esac
}
complete -F _outrigger outrigger
