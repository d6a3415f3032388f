# SPDX-License-Identifier: BSD-2-Clause
# bash completion for shmap(1)

# Names and ids of the maps that there are.
_shmap_maps()
{
	"${COMP_WORDS[0]}" top --once --delay 0.05 2>/dev/null | awk 'NR > 2 && NF > 8 { print $2; print $1 }'
}

_shmap()
{
	local cur prev verb i
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	verb=${COMP_WORDS[1]}
	COMPREPLY=()

	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'run exec trace top watch doctor help version --help --version' -- "$cur")
		return
	fi
	# After -- comes a command with its own completion.
	for ((i = 2; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			if declare -F _command_offset >/dev/null; then
				_command_offset $((i + 1))
			else
				mapfile -t COMPREPLY < <(compgen -c -f -- "$cur")
			fi
			return
		fi
	done
	case $prev in
	-p | --pid)
		mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$cur")
		return
		;;
	-o | --output | -r | --pcap | -w | --write)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-i | --iface)
		mapfile -t COMPREPLY < <(compgen -W "$(cd /sys/class/net 2>/dev/null && echo *)" -- "$cur")
		return
		;;
	--direction)
		mapfile -t COMPREPLY < <(compgen -W 'in out' -- "$cur")
		return
		;;
	--reuse)
		mapfile -t COMPREPLY < <(cd "${SHMAP_DIR:-/dev/shm/shmap-$UID}/fs" 2>/dev/null && compgen -d -- "$cur")
		return
		;;
	-s | --sort)
		if [[ $verb == top ]]; then
			mapfile -t COMPREPLY < <(compgen -W 'ops changed count entries open evicted lost waits name id' -- "$cur")
			return
		fi
		;;
	-d | --delay | -n | --rounds)
		return
		;;
	--pin | --program | -c | --count)
		return
		;;
	esac
	case $verb in
	run)
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W '-j --json -o --output --pin --reuse --program -p --pid -r --pcap -i --iface -w --write -c --count --direction --progress -h --help --' -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -d -S / -- "$cur"; compgen -f -X '!*.o' -- "$cur")
			[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace
		fi
		;;
	trace)
		mapfile -t COMPREPLY < <(compgen -W '-p --pid -s --stats -h --help --' -- "$cur")
		;;
	top)
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W '-d --delay -n --rounds -s --sort -1 --once -h --help' -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -W "$(_shmap_maps)" -- "$cur")
		fi
		;;
	watch)
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W '-j --json -n --count -h --help' -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -W "$(_shmap_maps)" -- "$cur"; compgen -f -- "$cur")
		fi
		;;
	exec)
		mapfile -t COMPREPLY < <(compgen -W '-h --help --' -- "$cur")
		;;
	help)
		mapfile -t COMPREPLY < <(compgen -W 'run exec trace top watch doctor help version' -- "$cur")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W '--help' -- "$cur")
		;;
	esac
}
complete -F _shmap shmap
