/** What those are offered who keep order in a room's chat, on the console and on the viewer page. */

/** @type {Record<string, [string, string]>} */
export const KEEPER = {
  "keeper.recall": ["撤回", "Recall"],
  "keeper.mute": ["禁言", "Mute"],
  "keeper.muted": ["已禁言 {name} 10 分钟", "{name} is muted for 10 minutes"],
  "keeper.ban": ["封禁", "Ban"],
  "keeper.banned": ["已封禁 {name}", "{name} is banned"],
  "keeper.sure": ["确定封禁？", "Sure?"],
  "keeper.appoint": ["设为房管", "Make moderator"],
  "keeper.appointed": ["{name} 现在是房管", "{name} is a moderator now"],
  "keeper.dismiss": ["取消房管", "Dismiss"],
  "keeper.dismissed": ["{name} 不再是房管", "{name} is no moderator any more"],
  "keeper.now": ["你现在管理本直播间的评论：可在评论上撤回、禁言、封禁", "You keep order in this room now: recall, mute and ban are beside the lines"],
  "keeper.over": ["你不再管理本直播间的评论", "You keep order in this room no longer"],
  "keeper.title": ["房管与助理", "Moderators and assistants"],
  "keeper.none": ["还没有任命房管：在观众的评论上点“设为房管”", "Nobody yet: press “Make moderator” beside a viewer's line"],
  "keeper.everywhere": ["商家任命，管多个直播间", "by the merchant, for more rooms"],
};
